// Texts to try. The first is in the public domain; the others were written for this page.

export const SAMPLES = [
  {
    name: "A novel of 1813",
    // Jane Austen, Pride and Prejudice, chapter 1.
    text: `It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.

However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is considered the rightful property of some one or other of their daughters.

“My dear Mr. Bennet,” said his lady to him one day, “have you heard that Netherfield Park is let at last?”

Mr. Bennet replied that he had not.

“But it is,” returned she; “for Mrs. Long has just been here, and she told me all about it.”

Mr. Bennet made no answer.

“Do you not want to know who has taken it?” cried his wife impatiently.

“You want to tell me, and I have no objection to hearing it.”

This was invitation enough.`,
  },
  {
    name: "Python code",
    text: `def shortest_path(G, source, target, weight="weight"):
    """Dijkstra's algorithm on a weighted graph.

    Parameters
    ----------
    G : Graph
        Edges without a weight count as 1.
    source, target : nodes

    Returns
    -------
    list of nodes
    """
    if source not in G:
        raise NodeNotFound(f"Node {source} is not in the graph")
    distance = {source: 0}
    previous = {}
    queue = [(0, source)]
    while queue:
        d, u = heappop(queue)
        if u == target:
            break
        for v, data in G.adj[u].items():
            longer = d + data.get(weight, 1)
            if longer < distance.get(v, float("inf")):
                distance[v] = longer
                previous[v] = u
                heappush(queue, (longer, v))
    path = [target]
    while path[-1] != source:
        path.append(previous[path[-1]])
    return path[::-1]
`,
  },
  {
    name: "A letter to a neighbour",
    text: `Dear Ines,

the plumber came on Tuesday and says the pipe under your sink is the one that drips into our cellar. It is not bad yet: a cup a day, perhaps. He can come back on Friday morning if you leave the key with Tomasz, who is at home with the twins anyway.

The tomatoes on your balcony are doing better than mine. I have watered them twice, in the evening, as you said. One of the pots has cracked, so I moved that plant into the blue bucket and made a few holes in its bottom.

Have a good journey home, and do not bring any more pots.

Marta`,
  },
];
