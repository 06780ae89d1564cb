"""The stand-in `gcp` provider: Pulumi's resources of Google Cloud by REST, as its discovery documents have them."""
