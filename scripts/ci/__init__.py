"""What the workflows in .github/workflows call: one script a step, each runnable and tested outside of GitHub."""
