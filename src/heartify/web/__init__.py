"""The room of the web pages. There are none yet: a lab's report is a file that lab/report writes, not a page served."""
