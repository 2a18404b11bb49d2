"""What a generated change must survive before a person is asked: looked at outside, run inside a sandbox."""
