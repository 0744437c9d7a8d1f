"""Which call gets which environment, and how many of them are kept: one owner, and the policies it carries out."""
