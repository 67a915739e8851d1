// How the search orders its results: as by default, but what is for users comes before why we built it so.
var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    page.startsWith("decisions/") || page === "changelog" ? score - 50 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
