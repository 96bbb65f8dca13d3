"""The servers from the wheels."""

from pathlib import Path

import psycopg
import redis

from compute_horde_common.contrib.django.embedded import EmbeddedPostgres, EmbeddedRedis


def test_what_postgres_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "p", dies_with_us=True)
    postgres.start()
    url = postgres.create_database("horde")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres.stop()

    postgres.start()
    with psycopg.connect(postgres.create_database("horde")) as connection:
        rows = connection.execute("SELECT one FROM kept").fetchall()
    postgres.stop()

    assert rows == [(1,)]


def test_redis_lets_nobody_in_without_its_password(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path, dies_with_us=True)
    server.start()
    address = server.url().rpartition("@")[2]

    with redis.Redis.from_url(server.url(5)) as invited:
        assert invited.ping()
    with redis.Redis.from_url(f"redis://{address}") as stranger:
        refused = _refused(stranger)
    server.stop()

    assert refused


def _refused(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.AuthenticationError:
        return True
    return False
