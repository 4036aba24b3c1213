"""What a user's own program imports: it knows core and nothing else of Surefoot."""
