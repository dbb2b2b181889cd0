"""The gate: may this request pass, and if not, what is its sender told?"""
