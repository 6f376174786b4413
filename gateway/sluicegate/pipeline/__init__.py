"""One request, top to bottom: authenticate → parse → route → attempt → write → account."""
