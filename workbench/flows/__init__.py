"""One module a verb: the only place where rooms meet."""
