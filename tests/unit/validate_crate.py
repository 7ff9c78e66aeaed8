"""Print the issues that roc-validator finds in an RO-Crate 1.1, as JSON: `python validate_crate.py CRATE`.

Runs in the environment made by `make validator`, which is not the project's, and needs no network access.
"""

import json
import sys
import tempfile
from pathlib import Path

from requests import Response
from rocrate_validator.models import Severity
from rocrate_validator.services import ValidationSettings, validate
from rocrate_validator.utils.http import HttpRequester

TERMS = """Dataset CreativeWork Organization Person ScholarlyArticle SoftwareApplication CreateAction name description
    datePublished license author citation hasPart encodingFormat contentSize about agent instrument object result
    softwareVersion"""
CONTEXT = {term: f"http://schema.org/{term}" for term in TERMS.split()}
CONTEXT |= {"File": "http://schema.org/MediaObject", "conformsTo": "http://purl.org/dc/terms/conformsTo"}
"""The terms of RO-Crate's context that an export may use; any other term is an error."""


def context(_: HttpRequester, url: str, **__: object) -> Response:
    """Return the context in place of the one that the validator would fetch."""
    response = Response()
    response.url, response.status_code = url, 200
    response.headers["Content-Type"] = "application/ld+json"
    response._content = json.dumps({"@context": CONTEXT}).encode()
    return response


def main(crate: str) -> None:
    """Print every issue as [severity, check, message, entity]."""
    HttpRequester.get = context
    with tempfile.TemporaryDirectory() as folder:
        settings = ValidationSettings(
            rocrate_uri=crate,
            profile_identifier="ro-crate-1.1",
            requirement_severity=Severity.RECOMMENDED,
            offline=True,
            cache_path=Path(folder) / "cache",
        )
        issues = validate(settings).get_issues()
    found = [[issue.severity.name, issue.check.identifier, issue.message, issue.violatingEntity] for issue in issues]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
