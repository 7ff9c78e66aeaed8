"""What is measured in an encoder's layers."""
