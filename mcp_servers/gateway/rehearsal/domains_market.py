"""Fields of work around customers."""

from __future__ import annotations

from mcp_servers.gateway.rehearsal.domain import Domain, Post

MARKETING = Domain(
    name="marketing",
    department="marketing",
    placement="marketing",
    result="texts and campaigns that bring the right people to us",
    lead=("editor", "Head of marketing"),
    posts=(
        Post(
            "writer",
            "Content writer",
            ("content-writing", "blog-writing", "copywriting"),
            "write posts, pages and headlines that readers finish",
            "a draft that could be published after one edit",
        ),
        Post(
            "social-manager",
            "Social media manager",
            ("social-media", "community"),
            "turn what we have to say into posts for each network and answer who replies",
            "posts ready to schedule, one per network",
        ),
        Post(
            "strategist",
            "Campaign strategist",
            ("campaign-planning", "brand-positioning", "email-marketing"),
            "decide whom we speak to, where and why",
            "a short plan with audience, channel and measure of success",
        ),
        Post(
            "seo-analyst",
            "Search and reach analyst",
            ("seo", "marketing-analytics"),
            "find what people search for and measure what worked",
            "keywords and figures to check, with where each comes from",
        ),
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
    words="marketing publicity advertising pr",
    foreign="marketing werbung blogbeitr soziale redes publicidad mercadotecnia publicite contenido inhalte",
    doubt="whether a reader outside this company would care, and whether each claim can be shown",
)

SALES = Domain(
    name="sales",
    department="sales",
    placement="sales",
    result="conversations with buyers that end in a clear yes or no",
    lead=("sales-lead", "Head of sales"),
    posts=(
        Post(
            "prospector",
            "Lead researcher",
            ("lead-generation", "market-segmentation"),
            "find who might buy and why now",
            "a list of kinds of leads with the reason to call each",
        ),
        Post(
            "closer",
            "Account executive",
            ("sales-outreach", "negotiation"),
            "write to buyers, answer objections and agree terms",
            "an outreach text and answers to the likely objections",
        ),
        Post(
            "proposal-writer",
            "Proposal writer",
            ("proposal-writing", "pricing"),
            "put an offer in words a buyer can sign",
            "an offer with scope, price basis and open points",
        ),
        Post(
            "pipeline-analyst",
            "Pipeline analyst",
            ("crm", "sales-forecasting"),
            "keep the pipeline true and say what it will bring",
            "the state of the pipeline with what is uncertain",
        ),
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
)

SUPPORT = Domain(
    name="customer-support",
    department="operations",
    placement="operations.support",
    result="answers that settle a customer's question the first time",
    lead=("support-lead", "Head of customer support"),
    posts=(
        Post(
            "first-responder",
            "Support agent",
            ("ticket-handling", "customer-communication"),
            "answer customers clearly and kindly",
            "a reply that can be sent",
        ),
        Post(
            "troubleshooter",
            "Technical support specialist",
            ("troubleshooting", "escalation"),
            "find out what really went wrong and who must mend it",
            "the likely cause, how to check it, and the next step",
        ),
        Post(
            "knowledge-editor",
            "Help centre editor",
            ("help-articles", "faq-writing"),
            "turn answered questions into articles others find",
            "a help article or FAQ entry",
        ),
        Post(
            "returns-clerk",
            "Returns and refunds specialist",
            ("refunds", "complaints"),
            "settle complaints, returns and refunds fairly",
            "a fair decision with its reason",
        ),
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
)

DESIGN = Domain(
    name="design",
    department="design",
    placement="design",
    result="things that people understand at first sight",
    lead=("design-lead", "Head of design"),
    posts=(
        Post(
            "ux-designer",
            "Product designer",
            ("ux-design", "user-research"),
            "find out how people do things and make it easier",
            "a flow in words, with where people could fail",
        ),
        Post(
            "visual-designer",
            "Visual designer",
            ("visual-design", "illustration"),
            "give things a form that says what they are",
            "a description of form, colour and type, with reasons",
        ),
        Post(
            "prototyper",
            "Prototyper",
            ("prototyping", "design-systems"),
            "make it touchable before it is built",
            "what to build first, and what to ask with it",
        ),
    ),
    skills={
        "ux-design": "ux usability wireframe wireframes",
        "user-research": "personas",
        "visual-design": "logo logos graphic graphics layout posters flyers",
        "illustration": "illustration illustrations drawings",
        "prototyping": "prototype prototypes mockup mockups",
    },
    words="design designer designers",
    foreign="gestaltung diseno",
    doubt="whether somebody tired and distracted would get it",
)
