"""Who may do what: access keys, the signatures made with them, and what each operation needs."""
