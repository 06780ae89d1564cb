"""What a stack on AWS needs before its first update: checks of the account, each with the command that fixes it."""
