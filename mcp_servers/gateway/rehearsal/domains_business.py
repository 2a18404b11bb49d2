"""Fields of work around customers, money and people."""

from __future__ import annotations

from mcp_servers.gateway.rehearsal.domain import Domain, Post

MARKETING = Domain(
    name="marketing",
    department="marketing",
    placement="marketing",
    result="texts and campaigns that bring the right people to us",
    lead=("editor", "Head of marketing"),
    posts=(
        Post("writer", "Content writer", ("content-writing", "blog-writing", "copywriting"), "write posts, pages and headlines that readers finish", "a draft that could be published after one edit"),
        Post("social-manager", "Social media manager", ("social-media", "community"), "turn what we have to say into posts for each network and answer who replies", "posts ready to schedule, one per network"),
        Post("strategist", "Campaign strategist", ("campaign-planning", "brand-positioning", "email-marketing"), "decide whom we speak to, where and why", "a short plan with audience, channel and measure of success"),
        Post("seo-analyst", "Search and reach analyst", ("seo", "marketing-analytics"), "find what people search for and measure what worked", "keywords and figures to check, with where each comes from"),
    ),
    skills={
        "content-writing": "content article articles newsletter newsletters story stories storytelling headline headlines text texts",
        "blog-writing": "blog blogs blogging blogpost blogposts",
        "copywriting": "copy copywriting slogan slogans tagline advert adverts ads advertisement landing",
        "social-media": "social tweet tweets twitter instagram linkedin facebook tiktok mastodon youtube influencer",
        "community": "community followers fans",
        "campaign-planning": "campaign campaigns promotion launch promote",
        "brand-positioning": "brand branding positioning",
        "email-marketing": "mailing mailings",
        "seo": "seo keyword keywords ranking",
        "marketing-analytics": "reach audience",
    },
    words="marketing marketer publicity advertising pr",
    foreign="marketing werbung blogbeitr soziale redes publicidad mercadotecnia publicite contenido inhalte",
    doubt="whether a reader outside this company would care, and whether each claim can be shown",
)  # fmt: skip

SALES = Domain(
    name="sales",
    department="sales",
    placement="sales",
    result="conversations with buyers that end in a clear yes or no",
    lead=("sales-lead", "Head of sales"),
    posts=(
        Post("prospector", "Lead researcher", ("lead-generation", "market-segmentation"), "find who might buy and why now", "a list of kinds of leads with the reason to call each"),
        Post("closer", "Account executive", ("sales-outreach", "negotiation"), "write to buyers, answer objections and agree terms", "an outreach text and answers to the likely objections"),
        Post("proposal-writer", "Proposal writer", ("proposal-writing", "pricing"), "put an offer in words a buyer can sign", "an offer with scope, price basis and open points"),
        Post("pipeline-analyst", "Pipeline analyst", ("crm", "sales-forecasting"), "keep the pipeline true and say what it will bring", "the state of the pipeline with what is uncertain"),
    ),
    skills={
        "lead-generation": "lead leads prospect prospects prospecting",
        "sales-outreach": "outreach cold outbound",
        "negotiation": "negotiate negotiation deal deals",
        "proposal-writing": "proposal proposals offer offers quote quotes tender tenders",
        "pricing": "pricing prices",
        "crm": "crm pipeline accounts",
        "sales-forecasting": "quota",
    },
    words="sale sales sell selling seller buyers revenue",
    foreign="vertrieb verkauf ventas vender vente",
    doubt="whether this buyer has the problem, the money and the power to decide",
)  # fmt: skip

SUPPORT = Domain(
    name="customer-support",
    department="operations",
    placement="operations.support",
    result="answers that settle a customer's question the first time",
    lead=("support-lead", "Head of customer support"),
    posts=(
        Post("first-responder", "Support agent", ("ticket-handling", "customer-communication"), "answer customers clearly and kindly", "a reply that can be sent"),
        Post("troubleshooter", "Technical support specialist", ("troubleshooting", "escalation"), "find out what really went wrong and who must mend it", "the likely cause, how to check it, and the next step"),
        Post("knowledge-editor", "Help centre editor", ("help-articles", "faq-writing"), "turn answered questions into articles others find", "a help article or FAQ entry"),
        Post("returns-clerk", "Returns and refunds specialist", ("refunds", "complaints"), "settle complaints, returns and refunds fairly", "a fair decision with its reason"),
    ),
    skills={
        "ticket-handling": "ticket tickets helpdesk inbox enquiries inquiries",
        "customer-communication": "customer customers client clients chat callers emails",
        "troubleshooting": "troubleshoot troubleshooting",
        "help-articles": "manuals helpcenter",
        "faq-writing": "faq faqs",
        "refunds": "refund refunds returns",
        "complaints": "complaint complaints complain",
    },
    words="support helpdesk service care",
    foreign="kundendienst kundenservice kunden clientes atencion soporte clientele",
    doubt="whether this answer works for the customer who is angry and in a hurry",
)  # fmt: skip

FINANCE = Domain(
    name="finance",
    department="finance",
    placement="finance",
    result="books that balance and figures that can be decided on",
    lead=("controller", "Financial controller"),
    posts=(
        Post("bookkeeper", "Bookkeeper", ("bookkeeping", "invoicing"), "record what came in and went out, and bill what is owed", "entries or invoices with their source named"),
        Post("analyst", "Financial analyst", ("financial-reporting", "budgeting"), "turn the books into reports and budgets", "figures with how each was reckoned"),
        Post("tax-specialist", "Tax specialist", ("tax", "compliance-checks"), "see what must be declared, and when", "what applies, what does not, and what a tax adviser must confirm"),
        Post("collector", "Receivables specialist", ("receivables", "cash-flow"), "see that money owed arrives", "who owes what, and a reminder for each"),
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
)  # fmt: skip

LEGAL = Domain(
    name="legal",
    department="legal",
    placement="legal",
    result="papers people can sign knowing what they sign",
    lead=("counsel", "General counsel"),
    posts=(
        Post("contract-reviewer", "Contract reviewer", ("contract-review", "contract-drafting"), "read contracts for what they oblige us to", "the obligations and the clauses to change"),
        Post("compliance-officer", "Compliance officer", ("compliance", "privacy"), "check what law and our own rules ask of us", "what applies, and what must be done about it"),
        Post("legal-researcher", "Legal researcher", ("legal-research", "trademarks"), "find rules and cases that bear on a question", "sources to check, and what each would mean"),
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
)  # fmt: skip

HR = Domain(
    name="hr",
    department="hr",
    placement="hr",
    result="people who are found, welcomed and treated fairly",
    lead=("people-lead", "Head of people"),
    posts=(
        Post("recruiter", "Recruiter", ("recruiting", "job-descriptions"), "describe jobs and find who fits them", "a job description or a shortlist with reasons"),
        Post("onboarding-guide", "Onboarding guide", ("onboarding", "training"), "see that new people can work in their first week", "a plan for the first days, with who does what"),
        Post("people-advisor", "People adviser", ("employee-relations", "hr-policies"), "answer questions about leave, rules and conflicts", "an answer with the rule it rests on"),
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
)  # fmt: skip

OPERATIONS = Domain(
    name="operations",
    department="operations",
    placement="operations",
    result="days that run without anybody having to remember everything",
    lead=("operations-lead", "Head of operations"),
    posts=(
        Post("planner", "Planner", ("scheduling", "event-planning"), "put tasks, dates and people in an order that works", "a schedule with dates, owners and slack"),
        Post("buyer", "Procurement specialist", ("procurement", "supplier-management"), "find suppliers, compare offers and order", "a comparison with a recommendation"),
        Post("logistics-coordinator", "Logistics coordinator", ("logistics", "inventory"), "see that things are where they are needed", "what is where, what is missing, what to move"),
        Post("office-manager", "Office manager", ("facilities", "travel-booking"), "keep places, travel and equipment in order", "a list of what to arrange, with dates"),
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
)  # fmt: skip
