"""Scripts of the workflows in .github/workflows: one a step, each runnable and tested outside of GitHub."""
