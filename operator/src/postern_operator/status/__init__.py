"""What a policy's status says, from what was seen. All pure."""
