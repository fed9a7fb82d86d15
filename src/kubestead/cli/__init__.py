"""What the user types: the ``kubestead`` command and its sub-commands."""
