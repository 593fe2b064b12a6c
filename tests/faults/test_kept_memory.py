"""What clients make up is not kept: nothing that the server holds grows with their requests."""

import gc
from concurrent.futures import ThreadPoolExecutor

import httpx
from running_server import CAT, coded, servers_on_hold


def test_made_up_requests_leave_nothing():
    with servers_on_hold() as start:
        running, _ = start()
        running.backend.let.set()

        def once(number: int) -> None:
            with httpx.Client(verify=False, base_url=running.http.base_url, timeout=60) as client:
                made_up = f"made-up-{number}"
                client.get(f"/{made_up}")
                client.request(f"MADE{number}", f"/{made_up}", headers={made_up: made_up})
                client.get("/", headers={"Host": made_up})
                client.post("/api/colorize", headers={"Origin": f"https://{made_up}"})
                client.post("/api/colorize", files={made_up: b"x"})
                client.post("/api/colorize", files={"photo": (made_up, coded(CAT[:32, : 32 + number]))})
                client.post("/api/colorize", files={"photo": coded(CAT[:32, :32])}, data={made_up: made_up})

        def samples() -> int:
            return running.http.get("/metrics").text.count("\n")

        def kept() -> int:
            gc.collect()
            return len(gc.get_objects())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(once, range(8)))  # whatever is made once
            samples()
            lines, objects = samples(), kept()
            list(pool.map(once, range(100, 120)))
        assert samples() == lines
        assert kept() < objects + 20 * 7  # not one object for each request
        assert "made-up" not in running.http.get("/metrics").text
        assert running.value("tintype_photos") == 0
