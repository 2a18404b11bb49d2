"""How the kernel sheds load, queues, and chooses an answer to a failure."""
