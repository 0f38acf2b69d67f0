"""Questions and changes to one table of a MySQL database, worked out with SQL."""
