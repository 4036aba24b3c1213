"""Health: what an operator is told of the server, from what its processes counted and from what lies in the store."""
