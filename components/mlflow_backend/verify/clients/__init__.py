"""The profile `client`: what a team's code does, through real MLflow clients in environments of their own."""
