"""Fields of work around money, papers, people and places."""

from __future__ import annotations

from mcp_servers.gateway.rehearsal.domain import Domain, Post

FINANCE = Domain(
    name="finance",
    department="finance",
    placement="finance",
    result="books that balance and figures that can be decided on",
    lead=("controller", "Financial controller"),
    posts=(
        Post(
            "bookkeeper",
            "Bookkeeper",
            ("bookkeeping", "invoicing"),
            "record what came in and went out, and bill what is owed",
            "entries or invoices with their source named",
        ),
        Post(
            "analyst",
            "Financial analyst",
            ("financial-reporting", "budgeting"),
            "turn the books into reports and budgets",
            "figures with how each was reckoned",
        ),
        Post(
            "tax-specialist",
            "Tax specialist",
            ("tax", "compliance-checks"),
            "see what must be declared, and when",
            "what applies, what does not, and what a tax adviser must confirm",
        ),
        Post(
            "collector",
            "Receivables specialist",
            ("receivables", "cash-flow"),
            "see that money owed arrives",
            "who owes what, and a reminder for each",
        ),
    ),
    skills={
        "bookkeeping": "bookkeeping books bookkeeper ledger receipts",
        "invoicing": "invoice invoices invoicing billing bills",
        "financial-reporting": "balance quarterly quarter",
        "budgeting": "budget budgets budgeting",
        "tax": "tax taxes vat",
        "receivables": "receivables dunning owed",
        "cash-flow": "cash cashflow",
        "payroll": "payroll salaries wages",
        "expense-tracking": "expense expenses",
    },
    words="finance finances financial accounting accountant accounts money treasury",
    foreign="buchhaltung finanz rechnung contabilidad finanzas facturas comptab steuer",
    doubt="whether the figures can be traced to a document",
)

LEGAL = Domain(
    name="legal",
    department="legal",
    placement="legal",
    result="papers people can sign knowing what they sign",
    lead=("counsel", "General counsel"),
    posts=(
        Post(
            "contract-reviewer",
            "Contract reviewer",
            ("contract-review", "contract-drafting"),
            "read contracts for what they oblige us to",
            "the obligations and the clauses to change",
        ),
        Post(
            "compliance-officer",
            "Compliance officer",
            ("compliance", "privacy"),
            "check what law and our own rules ask of us",
            "what applies, and what must be done about it",
        ),
        Post(
            "legal-researcher",
            "Legal researcher",
            ("legal-research", "trademarks"),
            "find rules and cases that bear on a question",
            "sources to check, and what each would mean",
        ),
    ),
    skills={
        "contract-review": "contract contracts nda ndas agreement agreements",
        "contract-drafting": "clause clauses terms",
        "compliance": "compliance regulation regulations regulatory regulator",
        "privacy": "privacy gdpr dsgvo",
        "legal-research": "court cases law laws",
        "trademarks": "trademark trademarks patent patents copyright",
    },
    words="legal lawyer lawyers attorney counsel",
    foreign="recht anwalt vertrag abogado contratos juridique juristisch",
    doubt="what the other side's lawyer would make of this sentence",
)

HR = Domain(
    name="hr",
    department="hr",
    placement="hr",
    result="people who are found, welcomed and treated fairly",
    lead=("people-lead", "Head of people"),
    posts=(
        Post(
            "recruiter",
            "Recruiter",
            ("recruiting", "job-descriptions"),
            "describe jobs and find who fits them",
            "a job description or a shortlist with reasons",
        ),
        Post(
            "onboarding-guide",
            "Onboarding guide",
            ("onboarding", "training"),
            "see that new people can work in their first week",
            "a plan for the first days, with who does what",
        ),
        Post(
            "people-advisor",
            "People adviser",
            ("employee-relations", "hr-policies"),
            "answer questions about leave, rules and conflicts",
            "an answer with the rule it rests on",
        ),
    ),
    skills={
        "recruiting": "recruit recruiting recruiter recruitment candidates candidate applicants resumes cvs interviews hiring",
        "job-descriptions": "vacancy vacancies jobs",
        "onboarding": "onboard onboarding newcomers",
        "training": "training courses trainings workshops",
        "employee-relations": "employee employees staff leave vacation holidays",
        "hr-policies": "handbook",
    },
    words="hr personnel human-resources talent",
    foreign="personal bewerber mitarbeiter recursos humanos empleados recrutement",
    doubt="whether this is fair to the person who is not in the room",
)

OPERATIONS = Domain(
    name="operations",
    department="operations",
    placement="operations",
    result="days that run without anybody having to remember everything",
    lead=("operations-lead", "Head of operations"),
    posts=(
        Post(
            "planner",
            "Planner",
            ("scheduling", "event-planning"),
            "put tasks, dates and people in an order that works",
            "a schedule with dates, owners and slack",
        ),
        Post(
            "buyer",
            "Procurement specialist",
            ("procurement", "supplier-management"),
            "find suppliers, compare offers and order",
            "a comparison with a recommendation",
        ),
        Post(
            "logistics-coordinator",
            "Logistics coordinator",
            ("logistics", "inventory"),
            "see that things are where they are needed",
            "what is where, what is missing, what to move",
        ),
        Post(
            "office-manager",
            "Office manager",
            ("facilities", "travel-booking"),
            "keep places, travel and equipment in order",
            "a list of what to arrange, with dates",
        ),
    ),
    skills={
        "scheduling": "schedule schedules scheduling calendar calendars appointments meetings",
        "event-planning": "event events conference conferences party",
        "procurement": "procurement purchasing procure buy",
        "supplier-management": "supplier suppliers vendor vendors",
        "logistics": "logistics shipping shipments delivery deliveries warehouse",
        "inventory": "inventory stock",
        "facilities": "facilities facility cleaning",
        "travel-booking": "travel trips flights hotels",
    },
    words="operations logistics backoffice",
    foreign="logistik einkauf logistica compras lager",
    doubt="what happens when one step is late",
)
