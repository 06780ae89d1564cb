"""What whoever works on a backend may do with what every target on AWS has, as IAM takes it. Pure."""
