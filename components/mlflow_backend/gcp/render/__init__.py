"""The bodies that Google's APIs are given, as their discovery documents spell them. Pure."""
