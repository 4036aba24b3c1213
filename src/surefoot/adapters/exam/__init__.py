"""What an eval run meets outside: subjects, judges, checks that need the world, and the turnstile before providers."""
