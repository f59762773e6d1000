"""`FlowService`: the one door from the command line and HTTP to the business."""
