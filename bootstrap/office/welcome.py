"""What a browser is told at the address that `./elf up` prints: where to talk to the company, for there is no page yet."""

WELCOME = """\
This is a company of AI teams, and it is running. It has no web pages yet; talk to it in the folder you started it in:

  ./elf say "We need a team that writes our blog posts"     tell the CEO what you need
  ./elf changes, ./elf show N, ./elf approve N              what is proposed, and your word on it
  ./elf status                                              how everybody is
  ./elf --help                                              everything else

For programs, each with a token: /v1 (OpenAI's API), /mcp (tools), /a2a/TEAM (messages), /forge (Git and GitHub's API); for your own
chat and MCP clients, which talk to the CEO: ./elf token new NAME
"""
