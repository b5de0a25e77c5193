"""The functions behind each notebook."""
