"""The DevOps team's own work: from a capability the company lacks to a proposal, and from an ill team to its way back.

It decides from facts (`next_step`), acts in small repeatable steps (`steps`) and lets models advise, never decide.
"""
