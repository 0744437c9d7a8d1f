"""How fast Samovar is, measured beside a bare server on the same machine in the same minute."""
