"""Access tokens: who does a token speak for?"""
