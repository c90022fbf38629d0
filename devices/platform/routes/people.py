"""Logging in and out, and the users."""

from __future__ import annotations

from typing import Any, Final

from devices.platform.config import User
from devices.platform.documents import Done, Login, LoginRequest, Me, UserChange, UserRequest, Users, UserView
from devices.platform.http import Ask, Route
from devices.platform.service import Service
from devices.web import passwords
from devices.web.reasons import Refused
from lab.text import Text

LOGGED_IN: Final = Text(zh="{user} 登录", en="{user} logged in")
NOT_LOGGED_IN: Final = Text(zh="{user!r} 登录失败：{why}", en="{user!r} could not log in: {why}")
CHANGED: Final = Text(zh="{by} 设置用户 {user}（{role}）", en="{by} set the user {user} ({role})")
DELETED: Final = Text(zh="{by} 删除用户 {user}", en="{by} deleted the user {user}")


async def login(service: Service, ask: Ask) -> Any:
    wanted: LoginRequest = ask.body
    try:
        token, session = service.accounts.login(wanted.user, wanted.password, service.config.token_hours)
    except Refused as error:
        service.log(NOT_LOGGED_IN.say(user=wanted.user, why=error.reason))
        raise
    service.log(LOGGED_IN.say(user=session.user))
    return Login(token=token, expires=session.expires, user=session.user, role=session.role)


async def logout(service: Service, ask: Ask) -> Any:
    service.accounts.logout(ask.token)
    return Done()


async def whoami(service: Service, ask: Ask) -> Any:
    return Me(user=ask.session.user, role=ask.session.role, expires=ask.session.expires)


async def list_users(service: Service, ask: Ask) -> Any:
    return Users(items=[_view(service, name) for name in sorted(service.catalogue.all("user"))])


async def create_user(service: Service, ask: Ask) -> Any:
    wanted: UserRequest = ask.body
    kept = passwords.hashed(wanted.password, service.host.random)
    service.catalogue.create("user", wanted.name, User(role=wanted.role, password_hash=kept))
    service.log(CHANGED.say(by=ask.session.user, user=wanted.name, role=wanted.role))
    return _view(service, wanted.name)


async def change_user(service: Service, ask: Ask) -> Any:
    name = ask.path["name"]
    wanted: UserChange = ask.body
    before: User = service.catalogue.get("user", name)
    kept = wanted.password_hash or before.password_hash
    if wanted.password is not None:
        kept = passwords.hashed(wanted.password, service.host.random)
    changed = before.model_copy(update={"role": wanted.role, "password_hash": kept, "password": None})
    service.catalogue.put("user", [(name, changed)])
    service.log(CHANGED.say(by=ask.session.user, user=name, role=wanted.role))
    return _view(service, name)


async def delete_user(service: Service, ask: Ask) -> Any:
    service.catalogue.delete("user", ask.path["name"])
    service.log(DELETED.say(by=ask.session.user, user=ask.path["name"]))
    return Done()


def _view(service: Service, name: str) -> UserView:
    user: User = service.catalogue.get("user", name)
    return UserView(name=name, role=user.role, declared=service.catalogue.is_declared("user", name))


_TAG: Final = "people"
ROUTES: Final = (
    Route(
        "POST",
        "/api/login",
        login,
        Text(zh="登录", en="Log in"),
        None,
        _TAG,
        body=LoginRequest,
        returns=Login,
        errors=(401, 429),
    ),
    Route("POST", "/api/logout", logout, Text(zh="退出", en="Log out"), "viewer", _TAG, returns=Done),
    Route("GET", "/api/me", whoami, Text(zh="当前用户", en="Who is logged in"), "viewer", _TAG, returns=Me),
    Route("GET", "/api/users", list_users, Text(zh="用户列表", en="List users"), "admin", _TAG, returns=Users),
    Route(
        "POST",
        "/api/users",
        create_user,
        Text(zh="新建用户", en="Create a user"),
        "admin",
        _TAG,
        body=UserRequest,
        returns=UserView,
        status=201,
        errors=(409,),
    ),
    Route(
        "PUT",
        "/api/users/{name}",
        change_user,
        Text(zh="修改用户", en="Change a user"),
        "admin",
        _TAG,
        body=UserChange,
        returns=UserView,
        errors=(409,),
    ),
    Route(
        "DELETE",
        "/api/users/{name}",
        delete_user,
        Text(zh="删除用户", en="Delete a user"),
        "admin",
        _TAG,
        returns=Done,
        errors=(409,),
    ),
)
