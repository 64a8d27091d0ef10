"""What SQL remembers: plans, operations, what operations created; and its migrations."""
