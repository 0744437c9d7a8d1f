"""Who may do what, and how requests prove who sends them: roles, keys, sessions and AWS's signatures."""
