"""The blocks and rules that the targets on AWS share."""
