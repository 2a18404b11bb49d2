"""The agents of devops: by name, the function that makes each."""

from .cost_analyst import cost_analyst
from .delivery_lead import delivery_lead
from .reliability_engineer import reliability_engineer
from .team_designer import team_designer

AGENTS = {
    "delivery-lead": delivery_lead,
    "team-designer": team_designer,
    "cost-analyst": cost_analyst,
    "reliability-engineer": reliability_engineer,
}
