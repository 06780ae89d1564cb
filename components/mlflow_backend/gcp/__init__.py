"""Building blocks of a backend on Google Cloud, and the documents of which they are made."""
