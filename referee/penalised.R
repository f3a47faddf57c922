# Elastic-net logistic regression and its cross-validation, by glmnet.
# glmnet rescales penalty factors to sum to the number of columns; lambda is given to it in the same proportion, so that
# the lambda written here is that of -loglik/n + lambda ((1-alpha)/2 |b|^2 + alpha |b|_1) over the penalised columns.
suppressPackageStartupMessages({ library(glmnet); library(jsonlite) })
out <- commandArgs(TRUE)[1]
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
terms <- c("age", "male", "sbp", "chol", "smoker", "grade2", "grade3", "noise")
d$grade2 <- as.numeric(d$grade == 2)
d$grade3 <- as.numeric(d$grade == 3)
dummies <- model.matrix(~ hospital, d)[, -1]
x <- cbind(as.matrix(d[, terms]), dummies)
p <- length(terms)
pf <- c(rep(1, p), rep(0, ncol(dummies)))
share <- sum(pf) / length(pf)
lambdas <- c(0.08, 0.04, 0.02, 0.01, 0.005, 0.001)
glmnet.control(fdev = 0, devmax = 1)

path <- function(alpha, factors = pf) {
  f <- glmnet(x, d$y, family = "binomial", alpha = alpha, lambda = lambdas * sum(factors) / length(factors),
              penalty.factor = factors, thresh = 1e-14, maxit = 1e7)
  co <- as.matrix(coef(f))
  list(call = sprintf("glmnet(x, y, family='binomial', alpha=%g, lambda=lambda*sum(pf)/length(pf), penalty.factor=pf, thresh=1e-14)", alpha),
       alpha = alpha, intercept = unname(co[1, ]), coef = unname(t(co[1 + seq_len(p), ])),
       hospital = unname(t(co[1 + p + 1:3, ])), dev_ratio = f$dev.ratio)
}

free <- pf
free[1:2] <- 0
free_path <- path(0.5, free)

# Folds: 5, by row number within hospital and outcome (no randomness).
fold <- ave(seq_len(nrow(d)), d$hospital, d$y, FUN = function(i) (seq_along(i) - 1) %% 5) + 1
grid <- exp(seq(log(0.12), log(0.0005), length.out = 30))
cv <- cv.glmnet(x, d$y, family = "binomial", alpha = 1, lambda = grid * share, penalty.factor = pf, foldid = fold,
                type.measure = "deviance", thresh = 1e-14, maxit = 1e7)
auto <- glmnet(x, d$y, family = "binomial", alpha = 1, penalty.factor = pf)

result <- list(
  terms = terms, lambdas = lambdas,
  elastic_net = lapply(c(0, 0.5, 1), path),
  unpenalised_age_and_male = free_path,
  lambda_max = list(call = "max(glmnet(x, y, family='binomial', penalty.factor=pf)$lambda) / share",
                    value = max(auto$lambda) / share),
  cross_validation = list(
    call = "cv.glmnet(x, y, family='binomial', lambda=grid*share, penalty.factor=pf, foldid=fold, type.measure='deviance', thresh=1e-14)",
    fold_rule = "row number within hospital and outcome, modulo 5", lambdas = grid, deviance = cv$cvm, se = cv$cvsd,
    lambda_min = cv$lambda.min / share, lambda_1se = cv$lambda.1se / share)
)
write_json(result, out, digits = NA, auto_unbox = TRUE, pretty = TRUE)
