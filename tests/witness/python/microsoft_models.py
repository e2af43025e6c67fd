"""What we send to Microsoft, by its own models."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from tests.witness.bodies import Reading, reading_of
from tests.witness.kit import Client, needs

# pydantic warns of how the models of this library are written
needs("msads", "bingads.service_client", ignoring="`__get_validators__` is deprecated")

from openapi_client.models.campaign.apply_customer_list_user_data_request import (
    ApplyCustomerListUserDataRequest,
)

MODELS = {"/CampaignManagement/v13/CustomerListUserData/Apply": ApplyCustomerListUserDataRequest}


@cache
def bodies() -> Reading:
    client = Client("Microsoft", "`msads`", version("msads"), "Python")
    return reading_of(client, "microsoft_customer_lists", _read)


def _read(path: str, body: Any) -> Any:
    """Validate a body by the model that belongs to a path; a member that it lacks is left out."""
    model = MODELS[path].model_validate(body)
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
