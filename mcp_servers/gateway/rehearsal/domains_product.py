"""Fields of work around software and data."""

from __future__ import annotations

from mcp_servers.gateway.rehearsal.domain import Domain, Post

ENGINEERING = Domain(
    name="engineering",
    department="engineering",
    placement="engineering",
    result="software that does what was asked and can be changed later",
    lead=("tech-lead", "Technical lead"),
    posts=(
        Post(
            "backend-developer",
            "Backend developer",
            ("backend-development", "api-design"),
            "build services, interfaces and data models",
            "a design or code with its tests named",
        ),
        Post(
            "frontend-developer",
            "Frontend developer",
            ("frontend-development", "accessibility"),
            "build what people see and touch",
            "a page or component with its states described",
        ),
        Post(
            "architect",
            "Software architect",
            ("software-architecture", "code-review"),
            "decide boundaries and read code before it is merged",
            "decisions with the alternatives that lost",
        ),
        Post(
            "mobile-developer",
            "Mobile developer",
            ("mobile-development",),
            "build apps for phones",
            "a screen flow with what works offline",
        ),
    ),
    skills={
        "backend-development": "backend server servers database databases python java microservice microservices",
        "api-design": "api apis endpoint endpoints integration integrations",
        "frontend-development": "frontend website websites webapp web react javascript ui homepage",
        "software-architecture": "architecture refactor refactoring",
        "code-review": "pull-requests codebase",
        "mobile-development": "mobile ios android",
        "bug-fixing": "bug bugs bugfix",
    },
    words="software developer developers engineering engineer engineers programmer programmers code coding app apps",
    foreign="entwickler programmier desarrollo desarrolladores logiciel webseite",
    doubt="how this fails, and who notices",
)

QA = Domain(
    name="qa",
    department="qa",
    placement="qa",
    result="faults found by us and not by customers",
    lead=("qa-lead", "Head of quality"),
    posts=(
        Post(
            "test-designer",
            "Test designer",
            ("test-planning", "exploratory-testing"),
            "find the cases that would hurt",
            "test cases with the expected result of each",
        ),
        Post(
            "test-automator",
            "Test automation engineer",
            ("test-automation", "regression-testing"),
            "make checks run by themselves",
            "what to automate, and the first checks",
        ),
        Post(
            "defect-analyst",
            "Defect analyst",
            ("defect-triage", "quality-reporting"),
            "sort faults by harm and find what they have in common",
            "faults in order of harm, each with steps to see it",
        ),
    ),
    skills={
        "test-planning": "test tests testing tester testers",
        "test-automation": "automate automation selenium playwright",
        "regression-testing": "regression regressions",
        "defect-triage": "defect defects triage",
        "quality-reporting": "quality",
    },
    words="qa quality-assurance",
    foreign="qualitatssicherung calidad qualite pruebas",
    doubt="which case nobody has tried",
)

DATA = Domain(
    name="data",
    department="data",
    placement="data",
    result="figures people can act on, and the way they came about",
    lead=("data-lead", "Head of data"),
    posts=(
        Post(
            "data-analyst",
            "Data analyst",
            ("data-analysis", "dashboards"),
            "answer questions with figures and show them",
            "the answer, the figures behind it and what they cannot say",
        ),
        Post(
            "data-engineer",
            "Data engineer",
            ("data-pipelines", "data-quality"),
            "bring data from where it arises to where it is needed, clean",
            "sources, steps and checks of the data's way",
        ),
        Post(
            "data-scientist",
            "Data scientist",
            ("forecasting", "machine-learning"),
            "build models that predict, and say how well",
            "a model, its error and a simpler one to compare",
        ),
    ),
    skills={
        "data-analysis": "analyse analyze analysis analytics statistics metrics insights",
        "dashboards": "dashboard dashboards charts visualise visualize kpi kpis",
        "data-pipelines": "etl ingestion warehouse scraping",
        "data-quality": "deduplicate",
        "forecasting": "forecast forecasts forecasting predict predictions",
        "machine-learning": "ml models classification",
    },
    words="data dataset datasets spreadsheet spreadsheets sql",
    foreign="daten datos donnees",
    doubt="whether the data can say this at all",
)

SECURITY = Domain(
    name="security",
    department="security",
    placement="security",
    result="risks known before somebody uses them",
    lead=("security-lead", "Head of security"),
    posts=(
        Post(
            "threat-analyst",
            "Threat analyst",
            ("threat-modelling", "risk-assessment"),
            "think through who could do us harm, and how",
            "threats in order of harm and likelihood",
        ),
        Post(
            "security-auditor",
            "Security auditor",
            ("security-audit", "vulnerability-review"),
            "look for weaknesses in what we have",
            "findings with evidence and a fix for each",
        ),
        Post(
            "incident-handler",
            "Incident handler",
            ("incident-response", "access-review"),
            "contain what happened and see that it cannot happen again",
            "what to do now, next, and afterwards",
        ),
    ),
    skills={
        "threat-modelling": "threat threats attack attacks attackers",
        "risk-assessment": "risk risks",
        "security-audit": "audit audits auditing pentest pentests penetration",
        "vulnerability-review": "vulnerability vulnerabilities cve cves hackers hacked",
        "incident-response": "incident incidents breach breaches phishing",
        "access-review": "passwords permissions",
    },
    words="security cybersecurity infosec",
    foreign="sicherheit seguridad securite",
    doubt="what an attacker would try once this is in place",
)
