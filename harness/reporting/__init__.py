"""What people see of a run: computed once in `summary`, then only formatted."""
