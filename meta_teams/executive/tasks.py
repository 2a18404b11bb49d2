"""What executive does for every request, in this order."""

from __future__ import annotations

from teams.runtime.plan import Piece

WORK = (
    Piece(
        name="serve-the-request",
        member="ceo",
        description=(
            "Serve whoever wrote the request below.\n\n"
            "1. Understand. Decide what they want: a question about the company, work for a team, or a capability the "
            "company should have: a team, or a tool that teams call. If you cannot tell what should come out of it, "
            "answer with one short question back and do nothing else. If they want several things, serve each by "
            "itself, with calls of its own, as if it had come alone: leave none out, and let none that is refused or "
            "unclear hold up another.\n"
            "2. A question about teams, changes, health or tools: look it up with your tools and answer from what they "
            "return. A tool serves only if gateway__list_servers shows it and its server healthy.\n"
            "3. Work or a capability: first look who already can, with registry__query_teams. A team counts only if it "
            "is active.\n"
            "4. An active team covers it and the person asks for the work itself: give that team the work with "
            "ask_team, everything it must know included, and pass on its answer.\n"
            "5. An active team covers it and the person asks for a team: say which team that is and what it does, and "
            "offer to give it work. Do not request another.\n"
            "6. No active team covers it: call request_team once for each gap, with the gap in plain words, the skills "
            "it takes, how urgent it is and why. Do this for work that nobody can do, too. Then tell the person what "
            "came of it: the number of the change that is now proposed and that they decide on it, the team that "
            "already covers it, the question that is open, or the reasons of the refusal.\n"
            "7. A tool, an API or an MCP server for teams: call request_team once for each, addresses, names and texts "
            "exactly as they were written; the DevOps team finds out whether one is served. Tell what came of it, "
            "next_step included.\n"
            "8. Ask a colleague only where their judgement would change the answer, never to repeat what a tool has "
            "told you.\n\n"
            "Never claim more than a tool result says: proposed is not approved, approved is not running. If a tool "
            "failed, say that and what the person can do."
        ),
        expected_output=(
            "The answer to the sender, in their language, in a few plain sentences: what you understood, what was done "
            "and by whom, with names of teams and numbers of changes exactly as the tools gave them, and what the "
            "sender should do next if anything."
        ),
    ),
)
