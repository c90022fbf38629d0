"""A client of somebody else's making, pyhandle, through a published port."""

from __future__ import annotations

import asyncio
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
from identification_kit import ADMIN, RING, SECRET, Plant, address, enterprise, https, tell

from lab.network.published import publish

pyhandle = pytest.importorskip("pyhandle")
pytestmark = pytest.mark.foreign


def work(enterprise_url: str, recursive_url: str, authority: str) -> dict[str, Any]:
    """What somebody with pyhandle does, and what they find."""
    from pyhandle.client.resthandleclient import RESTHandleClient
    from pyhandle.handleexceptions import (
        HandleAlreadyExistsException,
        HandleAuthenticationError,
        HandleNotFoundException,
    )

    found: dict[str, Any] = {}
    reader = RESTHandleClient.instantiate_for_read_access(recursive_url)
    found["ring"] = reader.retrieve_handle_record(RING)
    found["nothing"] = reader.retrieve_handle_record_json("88.900.C/NOTHING")
    owner = RESTHandleClient.instantiate_with_username_and_password(
        enterprise_url, ADMIN, SECRET, HTTPS_verify=authority
    )
    found["made"] = owner.register_handle("88.900.C/V1", "http://10.0.0.4/v1", checksum="00ff", NAME="截止阀")
    found["url"] = reader.get_value_from_handle("88.900.C/V1", "URL")
    with pytest.raises(HandleAlreadyExistsException):
        owner.register_handle("88.900.C/V1", "http://10.0.0.4/again")
    owner.modify_handle_value("88.900.C/V1", NAME="闸阀", MODEL="Z41H")
    owner.delete_handle_value("88.900.C/V1", "CHECKSUM")
    found["changed"] = owner.retrieve_handle_record("88.900.C/V1")
    found["minted"] = owner.generate_and_register_handle("88.900.C", "http://10.0.0.4/minted")
    found["again"] = owner.retrieve_handle_record(found["minted"])["URL"]
    owner.delete_handle("88.900.C/V1")
    found["gone"] = owner.retrieve_handle_record_json("88.900.C/V1")
    stranger = RESTHandleClient.instantiate_with_username_and_password(
        enterprise_url, ADMIN, "wrong", HTTPS_verify=authority
    )
    with pytest.raises(HandleAuthenticationError):
        stranger.register_handle("88.900.C/V2", "x")
    with pytest.raises(HandleNotFoundException):
        RESTHandleClient.instantiate_with_username_and_password(
            enterprise_url, "300:88.900.C/NOBODY", "x", HTTPS_verify=authority
        )
    return found


def test_pyhandle_registers_changes_resolves_and_deletes(tmp_path: Path) -> None:
    async def story(plant: Plant) -> None:
        own = https(days=36_500)
        await plant.chain(ent=enterprise(https=own))
        authority = tmp_path / "node.pem"
        authority.write_text(own["certificate"])
        secured = await publish(plant.hosts["pc"], 0, address("ent"), 8443)
        plain = await publish(plant.hosts["pc"], 0, address("rec"), 8000)
        urls = f"https://127.0.0.1:{secured.port}", f"http://127.0.0.1:{plain.port}"
        # A thread of the computer, which knows nothing of the plant.
        thread = Context().run(asyncio.get_running_loop().run_in_executor, None, work, *urls, str(authority))
        found = await thread
        secured.close()
        plain.close()
        assert found["ring"] == {"URL": "http://10.0.0.4/b6205", "REF": "88.901.7/HEAT.5512"}
        assert found["nothing"] is None
        assert found["made"] == "88.900.C/V1"
        assert found["url"] == "http://10.0.0.4/v1"
        changed = found["changed"]
        assert (changed["URL"], changed["NAME"], changed["MODEL"]) == ("http://10.0.0.4/v1", "闸阀", "Z41H")
        assert "CHECKSUM" not in changed
        assert "0.NA/88.900.C" in changed["HS_ADMIN"], "its default owner"
        assert found["minted"].startswith("88.900.C/")
        assert found["again"] == "http://10.0.0.4/minted"
        assert found["gone"] is None

    tell(story, is_fast=False)
