// A page that was opened from a folder may not read the other pages, so its search shows their titles only.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
