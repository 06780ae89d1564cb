"""Tools of this repository: nothing here is part of what a stack deploys."""
