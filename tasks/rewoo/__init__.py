"""Plan first, call tools, then solve: questions of seven data sets in two model calls each."""
