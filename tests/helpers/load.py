"""A client in a process of its own: asks a service without a pause, from some connections, until its input ends.

Arguments: host, port, path, connections. The body comes from a file, the last argument. Prints JSON: how many answers
there were of each status, what else went wrong, and the model versions that answered, in their order.
"""

import collections
import http.client
import json
import sys
import threading


def main() -> None:
    host, port, path, connections, file = sys.argv[1:]
    with open(file, "rb") as content:
        body = content.read()
    ended = threading.Event()
    statuses: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    versions: list[str] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        while not ended.is_set():
            try:
                connection.request("POST", path, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(repr(error))
                connection.close()
                continue
            statuses[str(response.status)] += 1
            if response.status == 200:
                found = {row["model_version"] for row in answer["predictions"]}
                versions.extend(found - set(versions[-1:]) if len(found) == 1 else sorted(found))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"statuses": statuses, "failures": failures, "versions": sorted(set(versions))}))


if __name__ == "__main__":
    main()
